FROM scratch
ENV WHO=world
COPY <<one <<-'two' plain.txt /dir/
hello ${WHO} \$WHO
one
	raw $WHO
	two
ADD --chmod=755 <<"run.sh" /run.sh
#!/bin/sh
run.sh
