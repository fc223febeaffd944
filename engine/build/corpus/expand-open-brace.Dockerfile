FROM scratch
USER ${A
