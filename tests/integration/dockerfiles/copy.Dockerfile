FROM busybox
COPY plain.txt /new
COPY plain.txt dir/b.txt /into/
COPY dir /tree
COPY "with space.txt" /spaced.txt
COPY ["with space.txt", "/spaced again.txt"]
COPY dir/*.md dir/su? /some/
COPY . /all/
RUN [ "$(cat /new)" = plain ] && [ -e /into/plain.txt ] && [ -e /into/b.txt ]
RUN [ -e /tree/a.md ] && [ -e /tree/sub/d.txt ] && [ ! -e /tree/dir ]
RUN [ -e /spaced.txt ] && [ -e "/spaced again.txt" ]
RUN [ -e /some/a.md ] && [ -e /some/d.txt ] && [ ! -e /some/b.txt ]
RUN [ -e /all/plain.txt ] && [ ! -e /all/ignored.txt ] && [ -e /all/kept.ignored ]
RUN [ ! -e /all/other.ignored ] && [ "$(readlink /all/link)" = plain.txt ]
