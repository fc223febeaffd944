// Mounts of overlay file systems.
#ifndef ENGINE_CHILD_OVERLAY_H_
#define ENGINE_CHILD_OVERLAY_H_

#include "engine/child/steps.h"

namespace bulwark::child {

// kOverlay: a detached mount of layers given as descriptors.
int Overlay(Context* c, const Step& s);
// kLegacyOverlay: on the path str, in this mount namespace.
int LegacyOverlay(Context* c, const Step& s);
// kMappedOverlay: as kOverlay, but by a helper in a mount namespace of its own,
// where the id-mapped trees that the layers lie in are attached.
int MappedOverlay(Context* c, const Step& s);

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_OVERLAY_H_
