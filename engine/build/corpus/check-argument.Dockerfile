# check=error=true
FROM scratch
MAINTAINER x
CMD y
