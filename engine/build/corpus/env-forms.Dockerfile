FROM scratch
ENV A=1 B="two words" C='$A' D=with\ blank E=
ENV OLD the rest  of   it "quoted"
ENV PATH=/opt/bin:$PATH
ENV A=2 F=$A
ENV G=$A H="${B}!"
