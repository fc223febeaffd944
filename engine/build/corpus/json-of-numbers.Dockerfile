FROM scratch

CMD ["sleep", 5]
