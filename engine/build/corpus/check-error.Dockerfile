# check=error=true;skip=JSONArgsRecommended
FROM scratch AS Up
CMD x
