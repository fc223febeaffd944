# check=skip=all
FROM scratch AS Up
CMD x
MAINTAINER y
