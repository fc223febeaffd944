FROM scratch
RUN ["a", "b c", "$HOME"]
CMD [ "x" , "\u00e4\t" ]
ENTRYPOINT []
COPY ["a b", "c d", "/e f/"]
VOLUME ["/v 1", "/v2"]
