FROM BASE
ENTRYPOINT ["/bin/echo"]
CMD one two
ENV PATH=/more:$PATH EMPTY=
LABEL empty= one=1
EXPOSE 8080/sctp
USER root
