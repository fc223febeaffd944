# check=skip=JSONArgsRecommended,StageNameCasing
FROM scratch AS Up
CMD x
MAINTAINER y
