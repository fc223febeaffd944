   FROM scratch
	RUN   a
  LABEL   a=b   c=d
