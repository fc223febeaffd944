FROM scratch
ENV SET=value EMPTY= P=/usr/local/lib/a.tar.gz
LABEL a1=${SET:-d} a2=${EMPTY:-d} a3=${NONE:-d} a4=${EMPTY-d} a5=${NONE-d}
LABEL b1=[${SET:+alt}] b2=[${EMPTY:+alt}] b3=[${EMPTY+alt}] b4=[${NONE+alt}]
LABEL c1=${SET:?no} c2=${EMPTY?no}
LABEL d1=${P#*/} d2=${P##*/} d3=${P%.*} d4=${P%%.*} d5=${P#/usr} d6=${P%x}
LABEL e1=${P/l/L} e2=${P//l/L} e3=${P//\//_} e4=${P/\/usr/} e5=${P/?ib/X} e6=${P/a*g/z}
LABEL f1=${NONE:-${SET}-${EMPTY:-$SET}}
