FROM alpine as base please
