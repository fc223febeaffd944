FROM busybox
RUN <<EOF
#!/bin/sh -e
echo "$0" > /name
echo interpreted > /out
EOF
RUN [ "$(cat /out)" = interpreted ]
RUN [ ! -e "$(cat /name)" ]
