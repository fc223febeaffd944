FROM scratch
ENV --
