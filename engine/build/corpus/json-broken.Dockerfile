FROM scratch
RUN ['a', 'b']
CMD ["a", "b"
ENTRYPOINT [ -f /x ] && run
