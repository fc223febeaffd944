FROM scratch
ONBUILD ENV --
