FROM busybox
RUN --mount=type=tmpfs,target=/t,size=1m touch /t/x && grep ' /t tmpfs ' /proc/mounts && ! dd if=/dev/zero of=/t/y bs=1M count=2
RUN [ ! -e /t/x ]
