FROM busybox
ENV WHO=world
RUN <<EOF
set -e
name="$WHO"
echo "$name" > /one
EOF
RUN cat <<A > /two && cat <<'B' >> /two
expanded $WHO
A
raw $WHO
B
RUN <<-EOF
	echo tabs > /three
	EOF
COPY <<EOF <<-'RAW' /dir/
hello ${WHO} \$WHO
EOF
	raw ${WHO}
	RAW
RUN [ "$(cat /one)" = world ] && [ "$(head -n 1 /two)" = "expanded world" ]
RUN [ "$(tail -n 1 /two)" = 'raw $WHO' ] && [ "$(cat /three)" = tabs ]
RUN [ "$(cat /dir/EOF)" = 'hello world $WHO' ]
RUN [ "$(cat /dir/RAW)" = 'raw ${WHO}' ]
