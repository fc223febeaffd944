# escape=`
FROM scratch
RUN one `
    two
ENV A=a` b B=`$A C=\x
COPY a\b /c\d
