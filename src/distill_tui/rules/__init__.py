"""What may happen next, who may do it, and why not. Pure: `permission.objections` is the one question."""
