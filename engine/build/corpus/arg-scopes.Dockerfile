ARG G=global
FROM scratch AS base
ARG A=base-a
ARG G
ENV E=$A-$G
FROM base AS child
LABEL a=$A g=$G e=$E
ARG A=child
LABEL a2=$A
FROM scratch
LABEL a="[$A]" g="[$G]"
COPY --from=child / /
