FROM scratch
RUN <<EOF
set -e
# kept
echo $HOME

EOF
RUN python3 <<'EOF' && cat <<-"END" > /x
print('hi $X')
EOF
	tabbed
	END
RUN 3<<EOF cat <&3
numbered
EOF
RUN cat<<EOF
RUN cat <<<word
RUN echo "<<EOF"
