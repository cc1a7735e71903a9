"""What Python's huggingface_hub makes of a cache: `see CACHE REPO FILE...` prints it as JSON, `fetch CACHE REPO` gets a repository from HF_ENDPOINT first."""

import json
import sys

from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache

command, cache, repo, *files = sys.argv[1:]
folder = snapshot_download(repo, cache_dir=cache, local_files_only=command == "see")
scan = scan_cache_dir(cache)
json.dump(
    {
        "folder": folder,
        "files": [try_to_load_from_cache(repo, file, cache_dir=cache) for file in files],
        "warnings": [str(warning) for warning in scan.warnings],
        "repos": [
            {
                "repo": one.repo_id,
                "kind": one.repo_type,
                "bytes": one.size_on_disk,
                "revisions": [
                    {"commit": revision.commit_hash, "refs": sorted(revision.refs), "files": sorted(str(file.file_path) for file in revision.files)}
                    for revision in one.revisions
                ],
            }
            for one in scan.repos
        ],
    },
    sys.stdout,
)
