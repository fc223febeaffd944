FROM scratch
RUN a

WORKDRI /x
RUN b
