FROM scratch
ENV A=x
LABEL a="$A" b='$A' c=\$A d="\$A" e=$A'$A'"$A" f="a\"b" g="\n" h=a\nb i=$ j=$$ k=$1x l=${A}y m=$A.z n="it's" o='say "hi"'
