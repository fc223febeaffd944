FROM BASE
COPY . /all
COPY ignored* /some/
COPY tree /tree
