# first
   # indented
FROM scratch
# between
RUN echo \
# inside
  # inside, indented
  hello # not a comment
LABEL a="# nor this"
