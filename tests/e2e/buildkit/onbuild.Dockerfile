FROM BASE AS below
ONBUILD ARG WORD=word
ONBUILD ENV SEEN=$WORD
ONBUILD COPY plain /copied
ONBUILD RUN echo "$SEEN" > /said
ONBUILD WORKDIR /worked
ONBUILD LABEL trigger=yes
CMD ["of below"]
FROM below
RUN echo own > own
