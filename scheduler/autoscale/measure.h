// From what replicas use to what a metric's calculation takes. Internal to the
// planner. Pure.
#ifndef SCHEDULER_AUTOSCALE_MEASURE_H_
#define SCHEDULER_AUTOSCALE_MEASURE_H_

#include <string>

#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/autoscale/metric.h"
#include "scheduler/autoscale/plan.h"

namespace bulwark::scheduler {

// "cpu", "memory", "connections".
std::string NameOf(const v1::AutoscaleMetric& metric);

// The metric over the replicas that should run.
Measurements Measure(const AutoscaleView& view,
                     const v1::AutoscaleMetric& metric);

// The metric as it is recorded: what it is, and how many replicas it asks for;
// or why it asks for nothing.
v1::MetricSample Evaluate(const AutoscaleView& view,
                          const v1::AutoscaleMetric& metric, int current,
                          double tolerance);

// "cpu is 93% of 70%", "12.5 connections of 10".
std::string Describe(const v1::MetricSample& sample);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_AUTOSCALE_MEASURE_H_
