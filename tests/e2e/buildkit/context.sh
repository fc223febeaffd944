#!/bin/sh
# Fills the folder $1 with what the Dockerfiles here copy: modes, owners, links
# and archives that are not all the same.
set -e
cd "$1"
umask 022
mkdir -p tree/sub tree/deep/er tree/none empty links
echo plain > plain && chmod 640 plain && chown 99:98 plain
printf '#!/bin/sh\n' > script && chmod 755 script
echo space > 'with space'
echo a > tree/a.md
echo b > tree/b.txt && chown 7:7 tree/b.txt
echo c > tree/sub/c.md && chmod 600 tree/sub/c.md
echo s > tree/setuid && chmod 6755 tree/setuid
echo h > tree/deep/er/one && ln tree/deep/er/one tree/deep/hard
chmod 750 tree/sub && chmod 1777 tree/none && chmod 2755 tree/deep
ln -s plain link
ln -s tree tree-link
ln -s /etc/passwd links/absolute
ln -s nowhere links/broken
ln -s ../plain links/up
echo r > links/regular
mkdir logs skip tree/skip
for name in ignored.txt kept.txt logs/x.log logs/keep.log tree/ignored.md \
    skip/file tree/skip/file; do
  echo "$name" > "$name"
done
cat > .dockerignore <<'END'
# A comment
ignored*
*/*.log
!logs/keep.log
**/skip
tree/ignored.m?
END
mkdir archived archived/sub
echo f > archived/f && chmod 604 archived/f
ln -s f archived/soft && ln archived/f archived/hard
chmod 711 archived/sub
tar -cf archive.tar --owner=3 --group=4 --numeric-owner -C archived .
gzip -k archive.tar && xz -k archive.tar && bzip2 -k archive.tar
rm -r archived
