# escape=`
FROM BASE
SHELL ["/bin/busybox", "sh", "-e", "-c"]
RUN echo a > /a `
    # a comment between

    && echo b > /b
ENV WINDOWS=C:\dir LIST="a,`
b"
CMD echo done
HEALTHCHECK --retries=1 CMD ["true"]
