FROM scratch
ARG A
ARG B=
ARG C=default
LABEL a="[$A]" b="[${B:-empty}]" c=$C none="[${A-unset}]"
