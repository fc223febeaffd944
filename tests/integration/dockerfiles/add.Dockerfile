FROM busybox
ADD archive.tar.gz /unpacked/
ADD --unpack=false archive.tar.gz /packed/
COPY archive.tar.gz /copied/
ADD plain.txt /plain
RUN [ "$(cat /unpacked/inside/file)" = archived ]
RUN [ -e /packed/archive.tar.gz ] && [ -e /copied/archive.tar.gz ] && [ ! -e /packed/inside ]
RUN [ "$(cat /plain)" = plain ]
