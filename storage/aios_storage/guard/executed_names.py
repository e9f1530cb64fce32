"""Names that get executed: files that some program reads by their name, unasked, and does what they say.

A name belongs here if to build, test, install, check, open or enter a directory, or to log in, is enough for what it
says to be run, or to choose what is run. Sources are not here, tests neither: a program that is run runs its sources,
and to write those is what agents are for. A file that has to be named to be run, such as a script, is a source, too.

A name is that of a file or directory at any depth, and stands for all that lies below it. `a/b` is `b` in an `a`, `*`
any letters of a name, and a `/` in front the top of the root. Names are written as programs look for them; they are
compared as `path.folded` has them, so that case and composition make no difference.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExecutedGroup:
    """Names of one kind: which programs execute them, and when or how, as the end of a sentence."""

    by: str
    why: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamesBeside:
    """`names` get executed only in a directory that holds all of `marks`; to allow `called` allows them."""

    called: str
    by: str
    why: str
    names: tuple[str, ...]
    marks: tuple[str, ...]


def _group(by: str, why: str, *lines: str) -> ExecutedGroup:
    return ExecutedGroup(by, why, tuple(name for line in lines for name in line.split()))


GROUPS = (
    _group(
        "aios",
        "which starts its next run from it",
        "aios.toml /agents",
    ),
    _group(
        "git and other version control",
        "which run the hooks, filters and programs that it names at the next commit, checkout or status",
        ".gitmodules .githooks .git-hooks .git-templates commondir .husky .lefthook .lefthook-local lefthook.*",
        ".lefthook.* lefthook-local.* .lefthook-local.* .pre-commit-config.yaml .pre-commit-config.yml",
        ".pre-commit-hooks.yaml prek.toml .overcommit.yml .simple-git-hooks.* simple-git-hooks.* captainhook.json",
        "grumphp.yml grumphp.yml.dist .hg .jj .sl .svn .bzr .repo .fossil-settings .p4config",
    ),
    _group(
        "continuous integration and hosting",
        "which run it, often with keys, once it is pushed",
        ".github/workflows .github/actions action.yml action.yaml .gitea/workflows .gitea/actions .forgejo .ci",
        ".circleci .gitlab-ci.yml .gitlab-ci.yaml *.gitlab-ci.yml .gitlab/ci .gitlab-ci .travis.yml .travis.yaml",
        "appveyor.yml .appveyor.yml Jenkinsfile Jenkinsfile.* *.jenkinsfile azure-pipelines*.yml",
        "azure-pipelines*.yaml .azuredevops .azure-pipelines .pipelines bitbucket-pipelines.yml .buildkite .drone.*",
        ".woodpecker .woodpecker.* .cirrus.yml .cirrus.star .semaphore .teamcity .tekton .harness bamboo-specs",
        ".builds .build.yml .screwdriver screwdriver.yaml .zuul.yaml zuul.yaml .zuul.d zuul.d .taskcluster.yml",
        "cloudbuild.yaml cloudbuild.yml cloudbuild.json buildspec.yml buildspec.yaml appspec.yml appspec.yaml",
        "codefresh.yml .codefresh wercker.yml bitrise.yml codemagic.yaml .readthedocs.yml .readthedocs.yaml",
        "readthedocs.yml netlify.toml vercel.json amplify.yml render.yaml fly.toml railway.json railway.toml",
        "nixpacks.toml heroku.yml Procfile Procfile.* firebase.json wrangler.toml wrangler.json wrangler.jsonc",
        "dagger.json .dagger renovate.json .goreleaser.* goreleaser.*",
    ),
    _group(
        "editors and development environments",
        "which run the tasks, plugins and programs that it names when the directory is opened",
        ".vscode .vscode-server *.code-workspace .idea .run *.iml *.ipr .fleet .zed .theia .vs .atom .helix .lapce",
        ".nova .metals .bloop .settings .project .externalToolBuilders nbproject *.sublime-project",
        "*.sublime-workspace *.sublime-build *.sublime-settings .devcontainer .devcontainer.json devcontainer.json",
        "devfile.yaml .devfile.yaml .gitpod .gitpod.* .ona .replit .idx .codesandbox .vim .nvim .nvim.lua .lazy.lua",
        ".exrc _vimrc .vimspector.json .local.vimrc .dir-locals.el .dir-locals-2.el .emacs .emacs.* .spacemacs",
        ".doom.d .ctags .ctags.d .tmuxinator.* .tmuxp.*",
    ),
    _group(
        "coding assistants",
        "which follow it, and start the servers, hooks and commands that it names",
        "CLAUDE.md CLAUDE.*.md .claude .claude.json .claude-plugin AGENTS.md AGENTS.*.md AGENT.md .agents .agent",
        "SKILL.md GEMINI.md .gemini QWEN.md .qwen CRUSH.md .crush crush.json .crush.json WARP.md .warp JULES.md",
        ".jules .cursor .cursorrules .windsurf .windsurfrules .codeium .codex .cline .clinerules .clinerules-* .roo",
        ".roomodes .roorules .roorules-* .kilocode .kilocodemodes .kiro .continue .continuerc.json .aider* .amazonq",
        ".opencode opencode.json opencode.jsonc .goose .goosehints .junie .trae .augment .augment-guidelines .tabnine",
        ".openhands .openhands_instructions .factory .amp .void .rules .devin .serena .antigravity .cody .sourcegraph",
        ".pearai .rovodev .zencoder .copilot copilot-instructions.md .github/copilot-instructions.md",
        ".github/instructions .github/prompts .github/agents .github/chatmodes .github/skills .github/hooks",
        ".github/copilot .mcp .mcp.json mcp.json .mcp.*.json mcp_config.json mcp-config.json mcp_settings.json",
        "claude_desktop_config.json",
    ),
    _group(
        "make and other build tools",
        "which run its commands when the directory is built",
        "Makefile makefile GNUmakefile BSDmakefile Makefile.am Makefile.in Makefile.inc Makefile.local Makefile.win",
        "*.mk *.mak Kbuild CMakeLists.txt CMakePresets.json CMakeUserPresets.json *.cmake meson.build meson.options",
        "meson_options.txt *.ninja BUILD BUILD.bazel WORKSPACE WORKSPACE.bazel WORKSPACE.bzlmod MODULE.bazel",
        "REPO.bazel *.bzl *.bazelrc .bazelversion tools/bazel BUCK TARGETS .buckconfig .buckconfig.d pants.toml",
        "BUILD.pants .plzconfig SConstruct SConscript wscript Tupfile Tuprules.tup Jamfile Jamroot premake4.lua",
        "premake5.lua xmake.lua conanfile.py portfile.cmake Earthfile justfile .justfile *.just Taskfile.yml",
        "Taskfile.yaml Taskfile.dist.yml Taskfile.dist.yaml Snakefile maskfile.md mise.toml .mise.toml mise.*.toml",
        ".mise.*.toml .mise .mise-tasks mise-tasks .tool-versions .rtx.toml devbox.json devenv.nix flake.nix",
        "flake.lock shell.nix default.nix configure configure.ac configure.in autogen.sh PKGBUILD APKBUILD",
        "debian/rules snapcraft.yaml Tiltfile skaffold.yaml devspace.yaml garden.yml .air.toml nodemon.json",
        ".watchmanconfig process-compose.yaml",
    ),
    _group(
        "Python and its tools",
        "which load it, or the code that it names, when the directory is installed, tested, checked or run",
        "conftest.py setup.py setup.cfg pyproject.toml pytest.ini .pytest.ini pytest.toml .pytest.toml tox.ini",
        "tox.toml noxfile.py dodo.py fabfile.py pavement.py buildout.cfg Pipfile Pipfile.lock poetry.toml poetry.lock",
        "pdm.toml .pdm.toml pdm.lock uv.toml uv.lock pylock.toml pixi.toml pixi.lock hatch.toml hatch_build.py",
        "pdm_build.py mypy.ini .mypy.ini .flake8 pylintrc pylintrc.toml .pylintrc.toml .bandit pyrightconfig.json",
        ".pdbrc.py pyvenv.cfg .venv venv/bin venv/lib venv/Scripts env/bin env/lib env/Scripts .virtualenv .tox .nox",
        ".direnv .pixi sitecustomize usercustomize site-packages dist-packages __pypackages__ *.egg-link *.pyc *.pyo",
        "pip.conf pip.ini .pip .pypirc .pydistutils.cfg pydistutils.cfg distutils.cfg .pythonrc.py .pystartup",
        ".ipython .jupyter ipython_config.py jupyter_*_config.py jupyter_*_config.json gunicorn.conf.py docs/conf.py",
        "doc/conf.py docs/source/conf.py doc/source/conf.py mkdocs.yml mkdocs.yaml .pyenv .python-version",
    ),
    _group(
        "JavaScript's tools",
        "which load it, or run the scripts that it names, when the directory is installed, built, tested or checked",
        "package.json package.json5 package.yaml package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml",
        "bun.lock bun.lockb deno.lock .npmrc .yarnrc .yarnrc.yml .yarn .pnp.* .pnpmfile.* pnpmfile.*",
        "pnpm-workspace.yaml node_modules .node_modules bunfig.toml .bunfig.toml deno.json deno.jsonc bower.json",
        "*.config.js *.config.cjs *.config.mjs *.config.jsx *.config.ts *.config.cts *.config.mts *.config.tsx",
        "*.conf.js *.conf.cjs *.conf.mjs *.conf.ts *.workspace.js *.workspace.mjs *.workspace.ts gulpfile.*",
        "Gruntfile.* Jakefile Jakefile.* Cakefile ember-cli-build.js lerna.json nx.json .nx turbo.json turbo.jsonc",
        "rush.json angular.json .angular-cli.json .storybook nest-cli.json tauri.conf.json biome.json biome.jsonc",
        ".nvm .node-version .volta .*rc.js .*rc.cjs .*rc.mjs .*rc.ts .*rc.json .*rc.json5 .*rc.jsonc .*rc.yml",
        ".*rc.yaml .*rc.toml",
    ),
    _group(
        "the tools of Rust, Go, Java and other languages",
        "which run it, or the programs that it names, when the directory is built, tested or checked",
        "Cargo.toml Cargo.lock .cargo build.rs rust-toolchain rust-toolchain.toml dylint.toml Cross.toml .golangci.*",
        "magefile.go build.zig build.zig.zon Package.swift pom.xml .mvn mvnw mvnw.cmd build.xml ivy.xml .gradle",
        "gradlew gradlew.bat *.gradle *.gradle.kts *.gradle.dcl gradle.properties gradle/wrapper",
        "gradle-wrapper.properties buildSrc build-logic *.sbt project/build.properties .sbtopts .jvmopts build.sc",
        "build.mill .mill-version project.scala .lein project.clj profiles.clj deps.edn build.boot bb.edn",
        "shadow-cljs.edn *.csproj *.fsproj *.vbproj *.vcxproj *.proj *.props *.targets *.sln *.slnx Directory.*.rsp",
        "MSBuild.rsp NuGet.Config global.json dotnet-tools.json build.cake build.fsx psakefile.ps1 *.xcodeproj",
        "*.xcworkspace *.pbxproj *.xcscheme *.xcconfig Podfile *.podspec Cartfile fastlane Fastfile Appfile",
        "Dangerfile Gemfile Gemfile.lock gems.rb gems.locked *.gemspec Rakefile Rakefile.rb *.rake .bundle config.ru",
        "Guardfile Capfile Thorfile *.thor Berksfile Brewfile .Brewfile .rspec .rubocop.yml .simplecov composer.json",
        "composer.lock phpunit.xml phpunit.xml.dist phpunit.dist.xml phpstan.neon phpstan.neon.dist psalm.xml",
        "psalm.xml.dist rector.php .php-cs-fixer.php .php-cs-fixer.dist.php .user.ini php.ini .htaccess RoboFile.php",
        "Makefile.PL Build.PL cpanfile dist.ini mix.exs mix.lock .iex.exs .formatter.exs .credo.exs rebar.config",
        "rebar.config.script rebar.lock .erlang Emakefile Setup.hs Setup.lhs *.cabal cabal.project",
        "cabal.project.local stack.yaml hie.yaml .ghci dune dune-project dune-workspace .ocamlinit *.opam esy.json",
        "pubspec.yaml analysis_options.yaml dub.json dub.sdl *.nimble *.nims nim.cfg shard.yml *.rockspec .luarc.json",
        ".luarc.jsonc .Rprofile .Renviron Rprofile.site renv/activate.R *.Rproj _targets.R startup.jl foundry.toml",
    ),
    _group(
        "container and cloud tools",
        "which run the commands, helpers and plugins that it names",
        "Dockerfile Dockerfile.* *.Dockerfile Containerfile Containerfile.* docker-compose.yml docker-compose.yaml",
        "docker-compose.*.yml docker-compose.*.yaml docker-compose-*.yml compose.yml compose.yaml compose.*.yml",
        "compose.*.yaml docker-bake.hcl docker-bake.json .docker .podman .kube kubeconfig .krew .helm helmfile.yaml",
        "helmfile.d .aws .azure .gcloud .oci .boto .s3cfg .terraform .terraform.d terraform.rc terragrunt.hcl",
        "Pulumi.yaml Pulumi.*.yaml cdk.json ansible.cfg .ansible.cfg .ansible serverless.yml serverless.yaml",
        "serverless.json serverless.ts samconfig.toml samconfig.yaml Vagrantfile .vagrant.d Acornfile",
        "captain-definition .lima okteto.yml .okteto .dvc dvc.yaml MLproject",
    ),
    _group(
        "shells and other programs at their start",
        "which run it, or what it names, when you enter the directory, log in or start them",
        ".*rc .*rc.local .*rc.d .*profile .*profile.d .*profile.local .*login .*logout .bash_completion",
        ".bash_completion.d .bashrc.* .zshrc.* .zshenv.* .zsh .zfunc .oh-my-zsh .oh-my-bash .zim .zinit .antigen",
        ".fish .xonsh .env .env.local .env.development .env.production .env.test .env.*.local .env.zsh .env.leave",
        ".flaskenv .autoenv .autoenv.zsh .autoenv_leave.zsh .envrc.* .tmux .tmux.conf .tmux.conf.local .login_conf",
        ".gdbinit .gdbearlyinit .lldbinit .lldbinit-* .my.cnf .mailcap .forward .procmail .lesskey .lessfilter .mutt",
        ".gnupg .guile .hammerspoon .finicky.js .chezmoi* .yadm *profile.ps1 autoexec.bat autorun.inf desktop.ini",
        " .xsession.* .xinitrc.* .xsession-errors.d .fvwm .fluxbox .openbox .icewm .awesome .xmonad .i3",
        ".sway .vnc .config .local .kde .kde4 .gnome2 .pam_environment.d",
    ),
    _group(
        "the system's scheduler and desktop",
        "which start it by themselves, at a time or a login, or as a program of yours",
        "crontab .crontab *.crontab cron.d cron.hourly cron.daily cron.weekly cron.monthly anacrontab crontabs",
        "*.desktop *.service *.timer LaunchAgents LaunchDaemons StartupItems autostart autostart-scripts .autostart",
        "systemd/user systemd/system init.d rc.local udev/rules.d polkit-1 sudoers sudoers.d dbus-1/services",
        "ld.so.preload ld.so.conf",
    ),
    _group(
        "your path",
        "along which programs and their plugins are found by their names",
        ".bin .npm .npm-global .npm-packages .bun .deno .pnpm .asdf .sdkman .jenv .rbenv .rvm .gem .gems .rustup",
        ".ghcup .cabal .stack .opam .cpan .cpanm .plenv .perl5 perl5 .luarocks .composer .dotnet .nuget .m2 .ivy2",
        ".sbt .jbang .linuxbrew .nix-profile .nix-defexpr .nix-channels .guix-profile .poetry .pipx .uv .rye .conda",
        ".mamba .micromamba .julia .juliaup .elan .nimble .dub .foundry .fzf .proto .moon go/bin .mozilla",
        ".thunderbird .wine",
    ),
)
"""By who executes them. `path.PROTECTED` has those that nobody changes, whatever a configuration says."""

FILES_ALONE = ("BUILD", "WORKSPACE", "TARGETS", "BUCK", "configure", "dune")
"""Names that are usual ones of directories, too, and those get executed by nobody."""

_GIT = ("git", "which takes its directory for a repository, and runs the hooks and programs that this names")
_HOME = ("Python", "which starts programs and loads modules from such an environment")

BESIDE = (
    NamesBeside("HEAD", *_GIT, names=("HEAD",), marks=("objects", "refs")),
    NamesBeside("HEAD", *_GIT, names=("objects",), marks=("HEAD", "refs")),
    NamesBeside("HEAD", *_GIT, names=("refs",), marks=("HEAD", "objects")),
    NamesBeside("HEAD", *_GIT, names=("config", "config.worktree", "hooks"), marks=("HEAD", "objects", "refs")),
    NamesBeside("pyvenv.cfg", *_HOME, names=("bin", "lib", "lib64", "Scripts", "include"), marks=("pyvenv.cfg",)),
    NamesBeside("conda-meta", *_HOME, names=("bin", "condabin", "lib", "etc", "conda-meta"), marks=("conda-meta",)),
)
"""Names that are ordinary ones elsewhere: the parts of a bare repository, and of a virtual environment."""
