FROM scratch
COPY secret.txt kept.txt ./logs/a.log /x/
ADD /logs *.txt /y/
COPY --from=alpine secret.txt /
