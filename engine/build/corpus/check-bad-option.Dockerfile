# check=skpi=all
FROM scratch
