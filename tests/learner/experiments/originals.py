"""Results as the original experiments' two scripts wrote them, with made-up numbers."""


def train_qwen_record():
    """As train_qwen.py wrote it; a loss that was not a number went in as NaN."""

    def evaluation(correct, total, **more):
        shares = {"comparison": 0.5, "sequence": 0.25, "causal": 1.0}
        return {
            "accuracy": correct / total,
            "per_task_accuracy": shares,
            "n_correct": correct,
            "n_total": total,
        } | more

    losses = (4.25, 3.5, float("nan"), 1.5)
    return {
        "model_name": "Qwen/Qwen2.5-0.5B-Instruct",
        "n_episodes": 4,
        "n_soft_tokens": 8,
        "learning_rate": 0.001,
        "use_chat_template": False,
        "training": [
            {
                "episode": i,
                "loss": loss,
                "predicted": "Ada, because …",
                "correct": "Ada",
                "is_correct": True,
                "task_type": "comparison",
            }
            for i, loss in enumerate(losses, 1)
        ],
        "evaluations": [evaluation(2, 20, episode=0), evaluation(7, 20, episode=4)],
        "start_time": "2025-10-23T04:45:44.445869",
        "elapsed_time": 8.0,
        "episodes_per_sec": 0.5,
        "final_evaluation": evaluation(10, 50),
    }


def train_continuous_record():
    """As train_continuous.py wrote it, for TinyLlama."""
    return {
        "config": {
            "model_name": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
            "n_episodes": 2,
            "n_soft_tokens": 8,
            "learning_rate": 0.001,
            "seed": 42,
        },
        "initial_accuracy": 0.2,
        "final_accuracy": 0.5,
        "improvement": 0.3,
        "training_results": [
            {"episode": i, "loss": 3.0 - i, "task_type": "causal"} for i in (1, 2)
        ],
        "eval_results": [{"episode": 2, "accuracy": 0.45, "correct": 9, "total": 20}],
        "final_eval_data": [
            {"question": "Who?", "predicted": "Ada", "correct": "Ada", "is_correct": i < 10}
            for i in range(20)
        ],
    }
