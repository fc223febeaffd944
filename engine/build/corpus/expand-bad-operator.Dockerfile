FROM scratch
LABEL a=${A=b}
