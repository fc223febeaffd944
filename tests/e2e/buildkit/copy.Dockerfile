FROM BASE
COPY plain /renamed
COPY plain script /into/
COPY tree /tree
COPY tree/ /tree/nested/
COPY tr*/*.md /some/
COPY ["with space", "/json/"]
COPY plain deep/er/than/before
WORKDIR /work
COPY plain .
COPY script sub/
COPY . /all/
COPY empty /empty/
COPY script /bin/script
