// The images that are present: blobs, unpacked layers, and the index of names
// (STATE/index.json).
//
// The index is written last, and durably, so whatever it names is whole. What
// nothing names is rubbish: SweepContent removes it, except what a lease holds.
#ifndef ENGINE_IMAGE_IMAGE_STORE_H_
#define ENGINE_IMAGE_IMAGE_STORE_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/image/blob_store.h"
#include "engine/image/index_book.h"
#include "engine/image/layer_store.h"
#include "engine/image/manifest.h"
#include "engine/image/stored_image.h"
#include "engine/images.h"

namespace bulwark::engine::image {

// Thread-safe.
class ImageStore {
 public:
  // Removes what a crash left half made. DATA_LOSS if the index is damaged.
  static absl::StatusOr<std::unique_ptr<ImageStore>> Open(
      const std::string& state_dir);

  BlobStore& blobs() { return *blobs_; }
  LayerStore& layers() { return *layers_; }

  // Keeps digests (of blobs and layers) from being swept while it lives: hold
  // one before asking whether it is there.
  class Lease {
   public:
    explicit Lease(ImageStore* store) : store_(store) {}
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    void Hold(absl::string_view digest);

   private:
    ImageStore* store_;
    absl::Mutex mu_;
    std::vector<std::string> held_ ABSL_GUARDED_BY(mu_);
  };

  // Gives one thread at a time the right to make what `key` names. Hold at
  // most one per thread.
  class Claim {
   public:
    Claim(ImageStore* store, absl::string_view key);
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

   private:
    ImageStore* store_;
    std::string key_;
  };

  // Makes an image visible: its manifest and configuration must be blobs, and
  // its layers unpacked (else FAILED_PRECONDITION). `references` are full
  // names and may be none.
  using Source = ImageSource;
  absl::StatusOr<Image> Add(absl::string_view manifest_digest,
                            const std::vector<std::string>& references,
                            const Source& source = Source());
  // The same for an index, `source.document`, of which no image is for this
  // host.
  absl::StatusOr<Image> AddIndex(const std::vector<std::string>& references,
                                 const Source& source);

  // When the full name was last pulled; InfinitePast() if never, or if it was
  // given to another image since.
  absl::Time PullTime(absl::string_view reference) const;

  // By full name or digest, of an index too. NOT_FOUND, also if what is here
  // is for other platforms.
  absl::StatusOr<Image> Get(absl::string_view reference) const;
  // The index or manifest that the name, or digest, stands for. NOT_FOUND;
  // FAILED_PRECONDITION if that was not noted, in a store of before.
  absl::StatusOr<std::string> SourceOf(absl::string_view reference) const;
  std::vector<NamedIndex> Indexes() const;
  std::vector<Image> List() const;
  // The layers of an image by its digest, lowest first; from memory, so also
  // when its documents have rotted. NOT_FOUND.
  absl::StatusOr<std::vector<LayerParts>> LayersOf(
      absl::string_view digest) const;
  // Whether an image here says that the blob holds this layer.
  bool Holds(absl::string_view blob, absl::string_view diff_id) const;
  absl::Status Tag(absl::string_view source, absl::string_view target);
  // Drops a name alone: the image stays, if need be without any. NOT_FOUND;
  // INVALID_ARGUMENT for a digest, which is no name.
  absl::Status Untag(absl::string_view reference);
  // Drops a name, or by digest all names of an image; then the image, if it has
  // no other name, is not `in_use` (manifest digests) and not leased, and the
  // content that nothing needs then. Other images without a name stay.
  absl::Status Remove(absl::string_view reference,
                      const std::vector<std::string>& in_use);

  // Notes that somebody wanted the image or index. Durable with the next change
  // of index.json: forgotten, it goes a little earlier when room is made.
  void Touch(absl::string_view digest, absl::Time now);

  // Digests of blobs and layers that are kept beside the images: the step
  // cache of builds.
  using Roots = std::set<std::string>;
  void SetExtraRoots(std::function<Roots()> roots);

  // Removes content that nothing needs: what a pull that failed has brought.
  absl::Status SweepContent();

  // Of the images that have no name, with `all` also of those that have one
  // (see PruneImagesRequest): those that are neither in `in_use` nor leased,
  // and were touched last before `unused_since`. The longest unused come first.
  std::vector<Image> FindUnneeded(
      const PruneImagesRequest& request,
      absl::Time unused_since = absl::InfiniteFuture()) const;
  // Removes these images, unless one got another name or a lease meanwhile, and
  // the content that nothing needs then.
  absl::Status Drop(const std::vector<Image>& images);

  // The bytes on disk that removing it, and a sweep, would free.
  absl::StatusOr<int64_t> ContentOf(const UnneededContent& unneeded) const;
  // All of ImagesUsage but the number of build steps.
  absl::StatusOr<ImagesUsage> Usage(
      const std::vector<std::string>& in_use) const;

 private:
  explicit ImageStore(std::string state_dir);
  absl::Status Load();
  absl::Status Save() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Save(), with the help of the reserve if the disk is full: for what makes
  // room.
  absl::Status SaveSmaller() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string ReservePath() const;
  void MakeReserve() const;
  // Names of the blobs and layers that it needs.
  static void AddContent(const StoredImage& stored, Roots& content);
  absl::StatusOr<StoredImage> Describe(absl::string_view manifest_digest) const;
  Image WithReferences(const Image& image) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  bool AllPulled(const Image& image) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::StatusOr<ImagePlace> Find(absl::string_view reference) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void SetNames(const std::vector<std::string>& names,
                const std::string& digest, const Source& source)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The digests, of image and index, that it stood for.
  std::set<std::string> ForgetName(const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // image_index.cc
  void LoadIndexes(const Json& index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Nothing if the source is the manifest itself. With what was kept before.
  KeptIndex IndexOf(const std::string& manifest, const Source& source) const;
  void AddIndexes(Image& image) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // The indexes that no image of List() stands for, as images.
  std::vector<Image> BareIndexes() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  Image AsImage(const std::string& digest, const KeptIndex& index) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // The layers that go are appended to `aside`, to be removed without the lock.
  absl::Status DropContent(const Roots& extra, std::vector<std::string>* aside)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Roots ExtraRoots() const;
  Roots LiveContent() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  Roots AllContent() const;
  absl::StatusOr<int64_t> SizeOf(const Roots& content) const;

  const std::string state_dir_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<LayerStore> layers_;

  mutable absl::Mutex mu_;
  std::map<std::string, StoredImage> images_ ABSL_GUARDED_BY(mu_);  // by digest
  NameRecord record_ ABSL_GUARDED_BY(mu_);
  std::multiset<std::string> leased_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> claimed_ ABSL_GUARDED_BY(mu_);
  std::function<Roots()> extra_roots_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_IMAGE_STORE_H_
