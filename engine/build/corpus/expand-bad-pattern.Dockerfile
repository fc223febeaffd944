FROM scratch
ENV A=b
LABEL a=${A#\x}
