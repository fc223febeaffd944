# check=error=true
FROM busybox
MAINTAINER someone
