# syntax=docker/dockerfile:1
# check=skip=MaintainerDeprecated
# escape=\
FROM scratch
MAINTAINER Someone <a@b.example>
