#!/usr/bin/env bash
# A real Slurm of two nodes on this machine, for tests: cluster.sh start|stop FOLDER
# All its files are in FOLDER. Needs root on Debian or Ubuntu; installs slurmctld, slurmd, slurm-client and munge.
set -euo pipefail
folder=$(mkdir -p "$2" && cd "$2" && pwd)
port=$((18000 + $$ % 1000 * 4))
export SLURM_CONF=$folder/slurm.conf

install_packages() {
    command -v slurmctld slurmd sbatch munged >/dev/null && return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        slurmctld slurmd slurm-client munge >"$folder/apt.log" 2>&1
}

write_configuration() {
    cat <<END
# A requeued job begins again after cred_expire, two minutes unless told otherwise.
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
MinJobAge=3600
KillWait=5
JobRequeue=1
END
    for node in 1 2; do
        echo "NodeName=127.0.0.$node NodeHostname=$(hostname -s) NodeAddr=127.0.0.$node Port=$((port + node))" \
            "CPUs=2 RealMemory=4000 State=UNKNOWN"
    done
    echo "PartitionName=main Nodes=127.0.0.[1-2] Default=YES PriorityTier=1 GraceTime=30 State=UP"
    echo "PartitionName=urgent Nodes=127.0.0.[1-2] PriorityTier=10 State=UP"
}

start() {
    mkdir -p "$folder"/{munge,state,spool-127.0.0.1,spool-127.0.0.2}
    install_packages
    chmod 755 "$folder" "$folder/munge"
    head -c 1024 /dev/urandom >"$folder/munge.key"
    chmod 400 "$folder/munge.key"
    munged --force --socket="$folder/munge/socket" --key-file="$folder/munge.key" --num-threads=1 \
        --pid-file="$folder/munge.pid" --log-file="$folder/munge.log" --seed-file="$folder/munge.seed"
    write_configuration >"$SLURM_CONF"
    echo "# none" >"$folder/cgroup.conf"
    slurmctld -f "$SLURM_CONF"
    for node in 1 2; do slurmd -f "$SLURM_CONF" -N "127.0.0.$node"; done
    for _ in $(seq 100); do
        [[ $(timeout 5 sinfo -h -N -p main -o %t 2>/dev/null | grep -c idle) == 2 ]] && return
        sleep 0.2
    done
    tail -n 5 "$folder"/slurm*.log >&2
    return 1
}

stop() {
    timeout 10 scancel -u root || true
    for _ in $(seq 50); do
        [[ -z $(timeout 5 squeue -h 2>/dev/null) ]] && break
        sleep 0.2
    done
    for file in "$folder"/slurmd-*.pid "$folder/slurmctld.pid" "$folder/munge.pid"; do
        [[ -s $file ]] && kill "$(cat "$file")" || true
    done
}

"$1"
