FROM busybox
SHELL ["/bin/sh", "-e", "-c"]
RUN false || true; echo on > /a
RUN [ "$0" = "/bin/sh" ]; [ -e /a ]
SHELL ["/bin/busybox", "sh", "-c"]
RUN [ "$0" = sh ]
