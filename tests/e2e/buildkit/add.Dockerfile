FROM BASE
ADD archive.tar.gz /gz
ADD archive.tar.xz /xz/
ADD archive.tar.bz2 /bz2/
ADD archive.tar /tar
ADD plain /plain
ADD plain archive.tar /both/
ADD tree /tree
ADD --chown=5:6 plain /owned/plain
COPY archive.tar.gz /kept/
WORKDIR /tar
ADD archive.tar.gz .
