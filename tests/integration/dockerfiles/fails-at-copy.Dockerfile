FROM busybox
COPY plian.txt /
