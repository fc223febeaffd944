ARG TAG=3.19
ARG IMAGE=alpine:${TAG} EXTRA
FROM ${IMAGE} AS a
ARG TAG
ARG EXTRA
LABEL tag=$TAG image="[$IMAGE]" extra="[${EXTRA-none}]"
