FROM scratch AS s
FROM scratch
COPY --from=s --chown=app:1000 --chmod=u=rwX,go=rX --link --parents --exclude=*.md --exclude=**/t a/./b c /d/
COPY --link=false --parents=TRUE a /
ADD --keep-git-dir=true --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 --unpack=false https://x.example/a.tgz git@h.example:r.git#v1:sub /d/
ADD --unpack --chown=1 --link --exclude=x a.tar /
