// One function for each verb, or few that belong together: adds its subcommand
// to `app`, whose action goes to context.action when it is given.
#ifndef CTL_COMMANDS_COMMANDS_H_
#define CTL_COMMANDS_COMMANDS_H_

#include <string>

#include "ctl/command.h"
#include "ctl/context.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

void AddApply(CLI::App& app, Context& context);
// save, import.
void AddArchive(CLI::App& app, Context& context);
void AddAttach(CLI::App& app, Context& context);
void AddAutoscale(CLI::App& app, Context& context);
// audit, audit verify.
void AddAudit(CLI::App& app, Context& context);
// backup, restore.
void AddBackup(CLI::App& app, Context& context);
void AddBuild(CLI::App& app, Context& context);
void AddCompletion(CLI::App& app, Context& context);
void AddConfig(CLI::App& app, Context& context);
// pause, unpause, kill, processes, inspect.
void AddContainer(CLI::App& app, Context& context);
// cp, export, commit, changes.
void AddCp(CLI::App& app, Context& context);
void AddDelete(CLI::App& app, Context& context);
void AddDescribe(CLI::App& app, Context& context);
void AddDoctor(CLI::App& app, Context& context);
void AddDiff(CLI::App& app, Context& context);
void AddEvents(CLI::App& app, Context& context);
void AddExec(CLI::App& app, Context& context);
void AddExplain(CLI::App& app, Context& context);
void AddGet(CLI::App& app, Context& context);
// image inspect, history, verify.
void AddImage(CLI::App& app, Context& context);
// images, rmi, tag, untag.
void AddImages(CLI::App& app, Context& context);
void AddJob(CLI::App& app, Context& context);
// login, logout.
void AddLogin(CLI::App& app, Context& context);
void AddLogs(CLI::App& app, Context& context);
void AddPs(CLI::App& app, Context& context);
// pull, load.
void AddPull(CLI::App& app, Context& context);
// push, tags, referrers.
void AddPush(CLI::App& app, Context& context);
void AddRollout(CLI::App& app, Context& context);
void AddRun(CLI::App& app, Context& context);
// scale, stop, start.
void AddScale(CLI::App& app, Context& context);
void AddSecret(CLI::App& app, Context& context);
void AddShutdown(CLI::App& app, Context& context);
void AddTop(CLI::App& app, Context& context);
// system df, prune, boot-report.
void AddSystem(CLI::App& app, Context& context);
void AddUpdate(CLI::App& app, Context& context);
// volume create, list, describe, delete, snapshot, snapshots, restore, clone,
// backup, backups.
void AddVolume(CLI::App& app, Context& context);
void AddVersion(CLI::App& app, Context& context);
void AddWait(CLI::App& app, Context& context);
void AddWhy(CLI::App& app, Context& context);

// What `image inspect` prints, for `inspect`.
std::string FormatInspectedImage(const v1::InspectImageResponse& response);

}  // namespace bulwark::ctl

#endif  // CTL_COMMANDS_COMMANDS_H_
