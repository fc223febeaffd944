FROM scratch
RUN --network=none a
RUN --network=host b
RUN --network=default --security=insecure c
RUN --security=sandbox d
