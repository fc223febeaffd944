#include "engine/child/accounts.h"

#include <linux/errno.h>

#include "engine/child/sys.h"

namespace bulwark::child {
namespace {

constexpr size_t kMaxName = 256;

// Cuts the field that starts at `*rest` at the next colon.
char* Field(char** rest) {
  char* field = *rest;
  if (field == nullptr) return nullptr;
  char* p = field;
  while (*p != 0 && *p != ':') ++p;
  *rest = *p == 0 ? nullptr : p + 1;
  *p = 0;
  return field;
}

// 1: a number, stored; 0: not a number; negative errno.
int ParseId(const char* text, uint32_t* id) {
  if (*text == 0) return 0;
  uint64_t value = 0;
  bool too_large = false;
  for (const char* p = text; *p != 0; ++p) {
    if (*p < '0' || *p > '9') return 0;
    value = value * 10 + (*p - '0');
    if (value > kMaxId) {
      too_large = true;
      value = kMaxId;
    }
  }
  if (too_large) return -ERANGE;
  *id = static_cast<uint32_t>(value);
  return 1;
}

// Looks in passwd for `name`, or for `uid` if `by_id`. Copies the name.
bool FindUser(int fd, const char* name, bool by_id, Account* account,
              char* found_name) {
  Lines lines(fd);
  while (char* rest = lines.Next()) {
    char* user = Field(&rest);
    Field(&rest);  // password
    char* uid = Field(&rest);
    char* gid = Field(&rest);
    Field(&rest);  // comment
    char* home = Field(&rest);
    uint32_t uid_value, gid_value;
    if (uid == nullptr || gid == nullptr || ParseId(uid, &uid_value) != 1 ||
        ParseId(gid, &gid_value) != 1) {
      continue;
    }
    if (by_id ? uid_value != account->uid : !Equal(user, name)) continue;
    account->uid = uid_value;
    account->gid = gid_value;
    if (home != nullptr && home[0] == '/' &&
        Length(home) < sizeof(account->home)) {
      Append(account->home, account->home + sizeof(account->home), home);
    }
    if (Length(user) < kMaxName) {
      Append(found_name, found_name + kMaxName, user);
    }
    return true;
  }
  return false;
}

bool FindGroup(int fd, const char* name, uint32_t* gid) {
  Lines lines(fd);
  while (char* rest = lines.Next()) {
    char* group = Field(&rest);
    Field(&rest);
    char* id = Field(&rest);
    if (id != nullptr && Equal(group, name) && ParseId(id, gid) == 1) {
      return true;
    }
  }
  return false;
}

bool Lists(char* members, const char* name) {
  while (members != nullptr && *members != 0) {
    char* p = members;
    while (*p != 0 && *p != ',') ++p;
    const bool last = *p == 0;
    *p = 0;
    if (Equal(members, name)) return true;
    members = last ? nullptr : p + 1;
  }
  return false;
}

void AddSupplementaryGroups(int fd, const char* name, Account* account) {
  Lines lines(fd);
  while (char* rest = lines.Next()) {
    Field(&rest);
    Field(&rest);
    char* id = Field(&rest);
    char* members = Field(&rest);
    uint32_t gid;
    if (id == nullptr || ParseId(id, &gid) != 1 || gid == account->gid ||
        account->group_count == kMaxGroups || !Lists(members, name)) {
      continue;
    }
    account->groups[account->group_count++] = gid;
  }
}

int Rewind(int fd) { return fd < 0 ? 0 : Sys(__NR_lseek, fd, 0, 0); }

}  // namespace

bool Lines::Fill() {
  if (eof_ || fd_ < 0) return false;
  if (begin_ > 0) {
    for (size_t i = begin_; i < end_; ++i) buffer_[i - begin_] = buffer_[i];
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ >= sizeof(buffer_) - 1) return false;
  const long n = Read(fd_, buffer_ + end_, sizeof(buffer_) - 1 - end_);
  if (n <= 0) eof_ = true;
  if (n > 0) end_ += n;
  return n > 0;
}

char* Lines::Next() {
  bool skipping = false;
  for (size_t scan = begin_;;) {
    while (scan < end_ && buffer_[scan] != '\n') ++scan;
    if (scan < end_) {  // a whole line
      char* line = buffer_ + begin_;
      buffer_[scan] = 0;
      begin_ = scan + 1;
      if (!skipping) return line;
      skipping = false;
      scan = begin_;
      continue;
    }
    const size_t pending = end_ - begin_;
    if (!eof_ && pending >= sizeof(buffer_) - 1) {  // too long: drop it
      skipping = true;
      begin_ = end_ = scan = 0;
    }
    if (Fill()) {
      scan = skipping ? begin_ : begin_ + (pending < end_ ? pending : 0);
      continue;
    }
    if (begin_ == end_ || skipping) return nullptr;
    char* line = buffer_ + begin_;
    buffer_[end_] = 0;
    begin_ = end_;
    return line;
  }
}

int ResolveAccount(const char* user, int passwd_fd, int group_fd,
                   Account* account) {
  char name[kMaxName] = "";
  char found[kMaxName] = "";
  const char* group = nullptr;
  size_t n = 0;
  for (const char* p = user; *p != 0; ++p) {
    if (*p == ':') {
      group = p + 1;
      break;
    }
    if (n + 1 >= sizeof(name)) return -EINVAL;
    name[n++] = *p;
    name[n] = 0;
  }
  if (group != nullptr && *group == 0) return -EINVAL;

  int numeric = 1;
  if (name[0] != 0) numeric = ParseId(name, &account->uid);
  if (numeric < 0) return numeric;
  Rewind(passwd_fd);
  const bool in_passwd =
      FindUser(passwd_fd, name, numeric == 1, account, found);
  if (numeric == 0 && !in_passwd) return -ESRCH;

  Rewind(group_fd);
  if (group != nullptr) {
    const int is_id = ParseId(group, &account->gid);
    if (is_id < 0) return is_id;
    if (is_id == 0 && !FindGroup(group_fd, group, &account->gid)) return -ESRCH;
  } else if (found[0] != 0) {
    AddSupplementaryGroups(group_fd, found, account);
  }
  return 0;
}

}  // namespace bulwark::child
